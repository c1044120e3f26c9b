//! etcd's rules one by one, and the lessons that others learned.
