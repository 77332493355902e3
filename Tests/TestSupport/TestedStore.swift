package import Archive

/// A store as its conformance tests know it: what its probe must find, which properties of the contract it lacks, and what to know about it. The tests
/// compare this with the real server, and docs/stores.md shows it: `StoresTable`.
package struct TestedStore: Sendable {
    /// As the table calls it.
    package let title: String
    /// The address that names it.
    package let url: String
    /// What its probe finds.
    package let capabilities: StoreCapabilities
    /// Of these, what the probe may as well not find: races that a server mostly decides right.
    package let uncertain: StoreCapabilities
    /// Properties that it lacks, by the names of their checks, each with what happens instead.
    package let lacks: [String: String]
    /// What else to know, each a sentence.
    package let notes: [String]

    package init(
        title: String, url: String, capabilities: StoreCapabilities, uncertain: StoreCapabilities = [], lacks: [String: String] = [:], notes: [String] = []
    ) {
        let names = Set(StoreCheck.all.map(\.description))
        precondition(lacks.keys.allSatisfy { names.contains($0) }, "there is no such check")
        self.title = title
        self.url = url
        self.capabilities = capabilities.union(.probed)
        self.uncertain = uncertain
        self.lacks = lacks
        self.notes = notes
    }

    /// The checks that it passes.
    package var checks: [StoreCheck] { StoreCheck.all.filter { lacks[$0.description] == nil } }
}

extension TestedStore {
    package static let all = [directory, serve, nginx, apache, lighttpd, rcloneWebDAV, seaweed, rcloneS3, moto, memory]

    package static let directory = TestedStore(
        title: "a directory", url: "file:///…", capabilities: [.conditionalCreate, .exclusiveCollections, .cutUploadsInvisible, .list, .rangeGet],
        notes: ["Synced before a write counts, directory entries included."])

    package static let serve = TestedStore(
        title: "`walshipd serve`", url: "http://…",
        capabilities: [.conditionalCreate, .exclusiveCollections, .cutUploadsInvisible, .verifiesChecksum, .list, .rangeGet],
        notes: ["Synced before it answers. No access control, no TLS."])

    package static let nginx = TestedStore(
        title: "nginx 1.22, DAV", url: "http(s)://…", capabilities: [.exclusiveCollections, .cutUploadsInvisible, .list, .move, .rangeGet],
        notes: ["`If-None-Match` is ignored: a look comes before each create.", "Nothing is synced before it answers."])

    package static let apache = TestedStore(
        title: "Apache 2.4, mod_dav", url: "http(s)://…", capabilities: [.exclusiveCollections, .cutUploadsInvisible, .list, .move, .rangeGet],
        uncertain: [.conditionalCreate],
        lacks: ["readersSeeWholeObjectsWhileTheyAreReplaced": "a reader of an object that is being replaced may get one version with the length of the other"],
        notes: [
            "A second create is refused, but of several that come together more than one may succeed. The probe finds that out nearly always; where it does not, on a busy machine, nothing is lost: claims go by MKCOL.",
            "Nothing is synced before it answers.",
        ])

    package static let lighttpd = TestedStore(
        title: "lighttpd 1.4, mod_webdav", url: "http(s)://…",
        capabilities: [.conditionalCreate, .exclusiveCollections, .cutUploadsInvisible, .list, .move, .rangeGet],
        notes: ["Nothing is synced before it answers."])

    package static let rcloneWebDAV = TestedStore(
        title: "rclone 1.75, `serve webdav`", url: "http://…", capabilities: [.list, .move, .rangeGet],
        notes: [
            "A cut upload shows, and destroys what was there: everything goes to a temporary name, is checked, and is moved into place. A process that dies meanwhile leaves the temporary name.",
            "A repeated MKCOL succeeds: claims are only waited for and read back.",
            "Several uploads of one name at a time: 423, and tried again.",
        ])

    package static let seaweed = TestedStore(
        title: "SeaweedFS 4.48, S3", url: "s3://…",
        capabilities: [.conditionalCreate, .cutUploadsInvisible, .verifiesChecksum, .checksumCRC32C, .list, .rangeGet],
        notes: ["It checks signatures, checksums and clocks.", "A bucket that is missing is made unless it is told not to (`-s3.autoCreateBucket=false`)."])

    package static let rcloneS3 = TestedStore(
        title: "rclone 1.75, `serve s3`", url: "s3://…", capabilities: [.cutUploadsInvisible, .verifiesChecksum, .list],
        lacks: ["readersSeeWholeObjectsWhileTheyAreReplaced": "a reader may see an object that is being replaced cut short, or half old and half new"],
        notes: ["Some of several uploads at a time are answered 500, and tried again.", "A range is answered with 200: whole objects are fetched."])

    package static let moto = TestedStore(
        title: "moto 5.2, S3", url: "s3://…", capabilities: [.conditionalCreate, .cutUploadsInvisible, .list, .rangeGet], uncertain: [.conditionalCreate],
        notes: ["For tests: in memory, and it checks neither signatures nor checksums."])

    package static let memory = TestedStore(
        title: "memory", url: "(library only)", capabilities: MemoryObjectStore.everything, notes: ["For tests: with the faults that they ask for."])
}
