"""How fast it is: measured on one machine into a record, and a page that follows from it alone."""
