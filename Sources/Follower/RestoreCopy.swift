import Archive
import WAL

/// Downloads what a plan says, several objects at one time, and writes it in order.
struct RestoreCopy {
    private let plan: RestorePlan
    private let download: RestoreDownload
    private let archives: Int
    private let downloads: Int
    private let note: (RestorePlan.Problem) -> Void
    private let progress: (Restore.Progress) -> Void

    private(set) var objects = 0
    /// Compressed bytes that were downloaded.
    private(set) var objectBytes: UInt64 = 0
    private(set) var problems: [RestorePlan.Problem] = []

    init(
        _ plan: RestorePlan, _ group: ArchiveGroup, downloads: Int, note: @escaping (RestorePlan.Problem) -> Void,
        progress: @escaping (Restore.Progress) -> Void
    ) {
        self.plan = plan
        download = RestoreDownload(group, gapEnd: plan.from)
        archives = group.readers.count
        self.downloads = downloads
        self.note = note
        self.progress = progress
    }

    /// A class: with a tuple or a struct of this size the optimizer of Swift 6.3.1 takes what a task group returns for nil.
    private final class Arrival: Sendable {
        let index: Int
        /// Nil: a tail that has gone.
        let result: Result<RestoreDownload.Fetched?, ArchiveError>

        init(_ index: Int, _ result: Result<RestoreDownload.Fetched?, ArchiveError>) {
            self.index = index
            self.result = result
        }
    }

    /// From where the writer stands to the plan's end. What comes before an error is written.
    mutating func run(to work: RestoreWork) async throws {
        let start = work.writer.position
        let links = plan.links.filter { $0.range.upperBound > start }.map { link in
            var link = link
            link.link.range = max(start, link.range.lowerBound)..<link.range.upperBound
            return link
        }
        report(work)
        var window = DownloadWindow(links.map { $0.range.upperBound.distance(from: $0.range.lowerBound) }, countMax: downloads)
        let download = download
        try await withThrowingTaskGroup(of: Arrival.self) { group in
            var arrived: [Int: Result<RestoreDownload.Fetched?, ArchiveError>] = [:]
            while !window.isDone {
                while let index = window.begin() {
                    let link = links[index]
                    // It came with what stood in for a tail before it.
                    if link.range.upperBound <= work.writer.position {
                        arrived[index] = .success(nil)
                        continue
                    }
                    group.addTask {
                        do throws(ArchiveError) {
                            return Arrival(index, .success(try await download.fetch(link)))
                        } catch {
                            return Arrival(index, .failure(error))
                        }
                    }
                }
                while arrived[window.turn] == nil {
                    guard let arrival = try await group.next() else { preconditionFailure("a download is under way") }
                    arrived[arrival.index] = arrival.result
                }
                guard let result = arrived.removeValue(forKey: window.turn) else { preconditionFailure("it has arrived") }
                do {
                    try await take(result, window.turn, of: links, work)
                } catch {
                    group.cancelAll()
                    throw error
                }
                window.wrote()
            }
        }
    }

    /// Writes what the link of this index stands for, unless it has come already. Where it was a tail that has gone, all that was planned of its segment is fetched at one time,
    /// and not the whole segment again for each of its tails.
    private mutating func take(
        _ result: Result<RestoreDownload.Fetched?, ArchiveError>, _ index: Int, of links: [RestorePlan.Link], _ work: RestoreWork
    ) async throws {
        let position = work.writer.position
        var link = links[index]
        if link.range.upperBound <= position { return }
        precondition(link.range.lowerBound == position, "one link behind the other")
        if let fetched = try result.get() { return try await write(fetched, link, work) }
        let segment = position.rawValue / plan.segmentSize
        let rest = links[index...].prefix { $0.archive == link.archive && $0.range.lowerBound.rawValue / plan.segmentSize == segment }
        link.link.range = position..<(rest.last ?? link).range.upperBound
        try await write(try await download.fetch(link.range, preferring: link.archive), link, work)
    }

    private mutating func write(_ fetched: RestoreDownload.Fetched, _ link: RestorePlan.Link, _ work: RestoreWork) async throws {
        fetched.problems.forEach { tell($0) }
        objects += fetched.objects
        objectBytes += fetched.objectBytes
        let bytes = fetched.bytes
        do throws(WALError) {
            try await OffPool.run { () throws(WALError) in try work.writer.write(bytes) }
        } catch {
            guard case .corruption(let lsn, let reason) = error, archives > 1 else { throw error }
            tell(RestorePlan.Problem(archive: fetched.archive, error: ArchiveError(.damaged, "a record does not verify: \(reason)", lsn: lsn)))
            try await writeOther(link, excluding: fetched.archive, work, failure: error)
        }
        download.giveBack(fetched)
        report(work)
    }

    /// What one archive has is intact as an object and wrong as log: another may have what was meant.
    private mutating func writeOther(
        _ link: RestorePlan.Link, excluding bad: Int, _ work: RestoreWork, failure: WALError
    ) async throws {
        var excluded: Set<Int> = [bad]
        while excluded.count < archives {
            let fetched: RestoreDownload.Fetched
            do throws(ArchiveError) {
                fetched = try await download.fetch(link.range, preferring: link.archive, excluding: excluded)
            } catch {
                break
            }
            excluded.insert(fetched.archive)
            let bytes = fetched.bytes
            do throws(WALError) {
                try await OffPool.run { () throws(WALError) in try work.writer.write(bytes) }
                return
            } catch {
                guard case .corruption = error else { throw error }
            }
        }
        throw failure
    }

    private mutating func tell(_ problem: RestorePlan.Problem) {
        guard !problems.contains(problem), !plan.problems.contains(problem) else { return }
        problems.append(problem)
        note(problem)
    }

    private func report(_ work: RestoreWork) {
        // An attempt before may have gone further.
        progress(Restore.Progress(done: min(work.writer.position.distance(from: plan.head), plan.bytes), total: plan.bytes))
    }
}
