internal import WAL

/// Where S3 credentials are looked for, in this order: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` in the environment; else
/// the shared credentials file (`AWS_SHARED_CREDENTIALS_FILE`, or `~/.aws/credentials`), in it the profile `AWS_PROFILE`, or `default`.
///
/// The file is read again each time, so that keys which were changed in it are taken up. No other of the AWS tools' sources (`~/.aws/config`,
/// roles, a machine's metadata service) is asked.
public struct S3CredentialSource: Sendable {
    private let environment: [String: String]

    public init(environment: [String: String]) {
        self.environment = environment
    }

    /// The credentials as of now. Throws `.invalid` where there are none or they cannot be read; the message names the place and repeats
    /// no secret. Reads a small file: does not block for long.
    public func read() throws(ArchiveError) -> S3Credentials {
        let id = variable("AWS_ACCESS_KEY_ID")
        let secret = variable("AWS_SECRET_ACCESS_KEY")
        if let id, let secret {
            return try S3Credentials(accessKeyID: id, secretAccessKey: secret, sessionToken: variable("AWS_SESSION_TOKEN"))
        }
        guard id == nil, secret == nil else {
            throw ArchiveError(
                .invalid, "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set", hint: "set both, or neither to use the shared credentials file")
        }
        return try fromFile()
    }

    /// An empty variable is how shells and service managers unset one.
    private func variable(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }

    private func fromFile() throws(ArchiveError) -> S3Credentials {
        let named = variable("AWS_SHARED_CREDENTIALS_FILE")
        guard let path = named ?? variable("HOME").map({ "\($0)/.aws/credentials" }) else {
            throw ArchiveError(.invalid, "there are no S3 credentials", hint: S3CredentialSource.hint)
        }
        let bytes: [UInt8]
        do throws(WALError) {
            let file = try LinuxFileSystem().open(path, .read)
            defer { file.close() }
            bytes = try file.bytes(at: 0, count: S3Limits.credentialsFileMax + 1)
        } catch {
            if named == nil, error.isMissingFile {
                throw ArchiveError(.invalid, "there are no S3 credentials: none in the environment, and no \(path)", hint: S3CredentialSource.hint)
            }
            throw ArchiveError(.invalid, "the S3 credentials file cannot be read: \(error)", hint: "check AWS_SHARED_CREDENTIALS_FILE and the file's rights")
        }
        guard bytes.count <= S3Limits.credentialsFileMax, let text = String(validating: bytes, as: UTF8.self) else {
            throw ArchiveError(.invalid, "\(path) is too large for a credentials file, or no text")
        }
        return try S3CredentialSource.credentials(in: text, profile: variable("AWS_PROFILE") ?? "default", path: path)
    }

    private static let hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE and AWS_PROFILE"

    /// The file's form: `[profile]` lines, below each `name = value` lines; comments begin with `#` or `;`. Where a name stands twice the last one counts.
    static func credentials(in text: String, profile: String, path: String) throws(ArchiveError) -> S3Credentials {
        func refuse(_ what: String, _ hint: String? = nil) -> ArchiveError { ArchiveError(.invalid, "\(path): \(what)", hint: hint) }
        var values: [Substring: String] = [:]
        var isThere = false
        var isOurs = false
        // By bytes: in Swift a carriage return and a line feed are one character.
        for (index, bytes) in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            let line = HTTPText.trimmed(Substring(bytes))
            guard let first = line.first, first != "#", first != ";" else { continue }
            if first == "[" {
                guard line.last == "]" else { throw refuse("line \(index + 1) begins a profile that has no ]") }
                isOurs = HTTPText.trimmed(line.dropFirst().dropLast()) == profile
                isThere = isThere || isOurs
                continue
            }
            guard let equals = line.firstIndex(of: "=") else { throw refuse("line \(index + 1) is neither [profile] nor name = value") }
            guard isOurs else { continue }
            values[HTTPText.trimmed(line[..<equals])] = String(HTTPText.trimmed(line[line.index(after: equals)...]))
        }
        guard isThere else { throw refuse("has no profile [\(profile)]", "check AWS_PROFILE") }
        guard let id = values["aws_access_key_id"], let secret = values["aws_secret_access_key"] else {
            throw refuse(
                "the profile [\(profile)] lacks aws_access_key_id or aws_secret_access_key",
                "roles and credential processes are not followed: write keys into the file, and new ones before they expire")
        }
        let token = values["aws_session_token"].flatMap { $0.isEmpty ? nil : $0 }
        return try S3Credentials(accessKeyID: id, secretAccessKey: secret, sessionToken: token)
    }
}
