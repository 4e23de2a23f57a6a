"""A small daemon that takes GitHub webhooks in and hands them on; `README.md`, one folder up, is its guide."""
