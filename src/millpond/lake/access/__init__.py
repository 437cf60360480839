"""Who may do what in the lake: users, groups and grants, kept and enforced by the object store itself."""
