"""What an administrator does with a whole database: load, count, verify, back up, restore."""
