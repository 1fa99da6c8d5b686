"""From a study and settings to super-resolved maps."""
