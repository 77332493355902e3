import Foundation

/// A certificate for 127.0.0.1, or of a client, that is its own authority: PEM files.
enum SelfSignedCertificate {
    static func make(_ name: String = "server", in directory: ServerDirectory) throws -> (certificate: String, key: String) {
        guard let openssl = ChildProcess.find("openssl") else {
            throw ServerError("openssl is not installed: apt-get install openssl")
        }
        let (certificate, key) = ("\(directory.path)/\(name).pem", "\(directory.path)/\(name).key")
        let command = Process()
        command.executableURL = URL(fileURLWithPath: openssl)
        command.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
            "/CN=\(name)",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
        ]
        command.standardError = FileHandle.nullDevice
        try command.run()
        command.waitUntilExit()
        guard command.terminationStatus == 0 else {
            throw ServerError("openssl made no certificate: status \(command.terminationStatus)")
        }
        return (certificate, key)
    }
}
