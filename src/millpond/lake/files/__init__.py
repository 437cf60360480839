"""Files of the lake, of folders and of other clouds: listed, copied, deleted and kept in step."""
