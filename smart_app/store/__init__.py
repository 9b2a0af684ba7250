"""The only place of smart_app with SQL: sessions, launches, drafts, write-back, cursor, outbox."""
