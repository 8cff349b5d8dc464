"""The first version's path of the configuration: a re-export."""
