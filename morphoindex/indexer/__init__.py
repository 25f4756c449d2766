"""Files to specimens to clusters: what the index holds, and what runs against it."""
