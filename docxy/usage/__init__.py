"""What clients use: their rates, and the month's traffic, kept across restarts."""
