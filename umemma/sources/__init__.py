"""Where data come from: adapters, tables, public layouts, downloads."""
