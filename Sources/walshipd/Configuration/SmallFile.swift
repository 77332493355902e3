import Foundation
import WAL

/// Reads a small file whole: configuration, a password, a certificate. What it is for and where it was named go into the error.
enum SmallFile {
    static func read(
        _ path: String, limit: Int, for key: String, at origin: SettingOrigin
    ) throws(ConfigurationError) -> Data {
        func refused(_ problem: String) -> ConfigurationError {
            ConfigurationError(origin: origin, key: key, value: key.isEmpty ? nil : path, problem: problem)
        }
        let data: Data?
        do {
            let handle = try FileHandle(forReadingFrom: URL(filePath: path))
            data = try handle.read(upToCount: limit + 1)
        } catch {
            throw refused("the file cannot be read: \(reason(error))")
        }
        let bytes = data ?? Data()
        guard bytes.count <= limit else { throw refused("the file has more than \(limit) bytes") }
        return bytes
    }

    /// The words of the system where there are any: those of Foundation name no cause.
    static func reason(_ error: any Error) -> String {
        let error = error as NSError
        let cause = error.userInfo[NSUnderlyingErrorKey] as? NSError ?? error
        return cause.domain == NSPOSIXErrorDomain ? ErrorText.describe(errno: Int32(cause.code)) : cause.localizedDescription
    }
}
