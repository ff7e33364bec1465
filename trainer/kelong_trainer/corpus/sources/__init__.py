"""Where recordings come from: folders, lists, archives, and what lies in them."""
