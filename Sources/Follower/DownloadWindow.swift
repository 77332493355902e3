/// Decides which downloads may begin: not more than a number at one time, nor more bytes than a limit, counted until they are written. One may always.
struct DownloadWindow {
    private let sizes: [UInt64]
    private let countMax: Int
    private let bytesMax: UInt64
    /// The next one to begin, and the next one to be written.
    private var begun = 0
    private var written = 0
    private var bytes: UInt64 = 0

    /// `sizes` are the bytes of log of each download, in order.
    init(_ sizes: [UInt64], countMax: Int, bytesMax: UInt64 = RestoreLimits.downloadBytesMax) {
        precondition((1...RestoreLimits.downloadsMax).contains(countMax), "\(countMax) downloads at one time")
        self.sizes = sizes
        self.countMax = countMax
        self.bytesMax = bytesMax
    }

    var isDone: Bool { written == sizes.count }
    /// The download whose bytes are to be written next.
    var turn: Int { written }

    /// One that may begin now.
    mutating func begin() -> Int? {
        guard begun < sizes.count, begun - written < countMax, begun == written || bytes + sizes[begun] <= bytesMax else { return nil }
        bytes += sizes[begun]
        begun += 1
        return begun - 1
    }

    /// The bytes of the one whose turn it was are written.
    mutating func wrote() {
        precondition(written < begun, "written before it was downloaded")
        bytes -= sizes[written]
        written += 1
    }
}
