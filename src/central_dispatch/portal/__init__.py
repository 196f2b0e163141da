"""The portal: pages, API and live updates over the services of fleet."""
