"""Bells through RabbitMQ, for queue workers on several machines (docs/reference/rabbitmq.md shows what lies there)."""
