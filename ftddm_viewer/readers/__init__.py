"""Reader studies: images of several methods, rated blindly by several readers."""
