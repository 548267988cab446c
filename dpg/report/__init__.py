"""What is shown: tables in, figures and numbers out."""
