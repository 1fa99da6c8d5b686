"""Many studies, one after the other or on many machines: each is restored as `ftddm run` does."""
