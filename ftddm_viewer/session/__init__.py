"""The session shared by both front ends, and its state; imports no GUI toolkit."""
