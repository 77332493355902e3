import Glibc

/// The words for an errno, with its number.
package enum ErrorText {
    /// strerror(3), which any thread may call since glibc 2.32.
    package static func describe(errno: Int32) -> String {
        guard let text = unsafe strerror(errno) else { return "errno \(errno)" }
        return unsafe "\(String(cString: text)) (errno \(errno))"
    }
}
