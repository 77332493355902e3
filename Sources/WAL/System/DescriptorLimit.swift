import CLinux

/// How many descriptors the process may have.
package enum DescriptorLimit {
    /// Raises the soft limit to the hard one, and returns it. getrlimit(2), setrlimit(2).
    ///
    /// The soft limit is 1024 on most systems only so that programs which use select(2) do not break; this one does not.
    package static func raise() throws(WALError) -> Int {
        Int(try SystemCall.run("setrlimit", on: "RLIMIT_NOFILE") { walship_raise_descriptor_limit() })
    }
}
