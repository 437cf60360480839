"""What a platform is: flavour, component, interface, binding, platform and plan.

Everything in here is pure: no file is read, no process started, no clock asked.
"""
