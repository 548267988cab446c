"""Where agents act: vector environments, behind one door."""
