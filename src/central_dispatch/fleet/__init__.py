"""The dispatcher-side records of workers, instances and runs, and the services over them."""
