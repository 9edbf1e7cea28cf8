"""Everything that is kept: the only room that knows SQLAlchemy. Its stores implement the ports of the same names."""
