import Glibc

/// The words for an errno, with its number.
package enum ErrorText {
    /// strerror_r(3), the GNU form, which returns the text.
    package static func describe(errno: Int32) -> String {
        guard let text = unsafe strerror(errno) else { return "errno \(errno)" }
        return unsafe "\(String(cString: text)) (errno \(errno))"
    }
}
