"""What is loaded into the processes that run Nova's own tests; the tests around them never import it."""
