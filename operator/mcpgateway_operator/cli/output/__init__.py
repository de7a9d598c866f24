"""What the commands print: tables for people, documents for programs, progress, and words of errors."""
