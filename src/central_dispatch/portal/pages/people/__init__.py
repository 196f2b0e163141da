"""Administration: users."""
