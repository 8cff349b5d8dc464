"""The first version's path of the index decorator: a re-export."""
