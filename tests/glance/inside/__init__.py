"""What is loaded into the processes that run Glance's own tests; the tests around them never import it."""
