"""What administrators look after: hospitals, clients, people, organizations, archives, each by its own source."""
