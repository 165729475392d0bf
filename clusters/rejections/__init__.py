"""What was refused to whom: reading log lines, folding bursts, saying what would fix it. Pure: no Django, no database."""
