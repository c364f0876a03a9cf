"""What people read: tables, sentences, the live line, pictures. Values in, text and images out."""
