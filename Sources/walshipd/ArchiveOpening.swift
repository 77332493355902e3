import Archive

/// An archive that was named on the command line: its store and the log's name in it.
struct ArchiveOpening {
    let store: any ObjectStore
    let log: Archive.LogName
    /// Without credentials.
    let url: String

    /// Nothing is sent yet. Throws `.invalid` and `.unsupported` for a URL that cannot be used.
    init(_ argument: String) throws(ArchiveError) {
        let url = try ArchiveURL(argument)
        switch url.base {
        case .http(let base):
            var settings = Archive.HTTPSettings()
            if let credentials = url.credentials { settings.credentials = { credentials } }
            store = try HTTPStore(base: base, settings: settings)
        case .directory(let root):
            store = try DirectoryStore(root: root)
        }
        log = url.logName
        self.url = url.text
    }
}
