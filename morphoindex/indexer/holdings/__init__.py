"""What an index holds and keeps true: specimens, the journal of decisions and runs, the neighbour graph."""
