"""Where agents act: vector environments, all made by `dpg.envs.make`."""
