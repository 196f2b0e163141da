"""The public REST API below `/api/v1/`, described by its OpenAPI document."""
