"""The Worker Manager's records and services in the portal. The job table itself is the store's (`stores`)."""
