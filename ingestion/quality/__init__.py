"""What an admin should know of documents before they spoil answers: unreadable, alike, said again and again."""
