import Archive
import Testing
import WAL

@testable import Follower

/// Every small archive: two or three epochs, three segments, tails of every level, any of them missing; planned from a listing and name by name, and
/// compared with what the format's document says.
@Suite struct RestorePlanTests {
    typealias Object = ModelArchive.Object

    /// Forks inside a segment, on its boundary, in its successor, behind what the destination had; and where the epoch begins in the archive.
    static let lines: [[(fork: UInt64, start: UInt64?)]] = [
        [(0, 0)], [(0, 0), (150, 150)], [(0, 0), (200, 200)], [(0, 0), (150, 120)], [(0, 0), (230, 200)], [(0, 0), (120, nil), (150, 150)],
        [(0, 0), (120, 120), (150, 150)], [(0, 0), (150, 150), (150, 120)],
    ]

    /// What the epochs of a line leave: segments, and tails of the newest one's open segment and of the parent's where it was left.
    static func objects(_ line: [(fork: UInt64, start: UInt64?)]) -> [Object] {
        var objects = [Object(1, nil, 0..<100)]
        let begun = line.enumerated().filter { $0.element.start != nil }
        for (index, epoch) in begun.dropFirst() { objects.append(Object(UInt64(index + 1), nil, epoch.start!..<(epoch.start! / 100 + 1) * 100)) }
        if begun.count == 1 {
            objects += [Object(1, nil, 100..<200)]
        } else {
            // The parent's open segment: read as far as the child's start.
            objects += [Object(1, 0, 100..<115), Object(1, 0, 115..<160), Object(1, 1, 100..<160)]
        }
        let newest = UInt64(line.count)
        let open = (line.last!.start! / 100 + 1) * 100
        let tail = begun.count == 1 ? 200 : open
        objects += [
            Object(newest, 0, tail..<tail + 20), Object(newest, 0, tail + 20..<tail + 40), Object(newest, 1, tail..<tail + 40),
            Object(newest, 3, tail..<tail + 20),
        ]
        return objects
    }

    static func subsets<Element: Hashable>(_ all: [Element], _ body: (Set<Element>) throws -> Void) rethrows {
        for bits in 0..<(1 << all.count) { try body(Set(all.indices.filter { bits & 1 << $0 != 0 }.map { all[$0] })) }
    }

    enum Planned: Equatable {
        case plan([RestorePlan.Link])
        case failed(ArchiveError)

        var ranges: [Range<UInt64>]? {
            guard case .plan(let links) = self else { return nil }
            return links.map { $0.range.lowerBound.rawValue..<$0.range.upperBound.rawValue }
        }
    }

    /// What a planner was asked for, and what it told.
    final class Watch {
        var asked: [Int: Int] = [:]
        var problems: [RestorePlan.Problem] = []
    }

    /// How a planner is answered.
    enum Knowledge: CaseIterable { case listing, names }

    private func empty(_ models: [ModelArchive], _ target: RestoreTarget, from head: UInt64, _ from: UInt64?) -> RestorePlan {
        RestorePlan(
            logID: ModelArchive.log, archiveIDs: models.map(\.outline.archiveID), segmentSize: ModelArchive.segmentSize, target: target, head: LSN(head),
            from: from.map { LSN($0) })
    }

    /// `listed`: what the archives held when they were listed; nil: now. `limits`: where the log leaves each one's history. `away`: those that cannot be reached.
    private func plan(
        _ models: [ModelArchive], _ knowledge: Knowledge, _ target: RestoreTarget = .everything, from head: UInt64 = 0, after gap: UInt64? = nil,
        listed: [ModelArchive]? = nil, limits: [UInt64?]? = nil, away: Set<Int> = [], watch: Watch? = nil,
        facts: (RestorePlan.Link) -> RestorePlan.Facts = { _ in .init(records: nil, objectSize: 0, keyID: nil, times: []) }
    ) -> Planned {
        let members = models.indices.map { index in RestorePlanner.Member(models[index].outline, limit: limits?[index].map { LSN($0) }) }
        var planner = RestorePlanner(empty(models, target, from: head, gap), members)
        do throws(ArchiveError) {
            while true {
                switch try planner.next() {
                case .done(let plan):
                    watch?.problems = plan.problems
                    return .plan(plan.links)
                case .facts(let link): planner.answer(facts(link))
                case .ask(let index, _) where away.contains(index): planner.failed(ArchiveError(.unreachable, "nobody answers"))
                case .ask(let index, let ask):
                    watch?.asked[index, default: 0] += 1
                    let source = knowledge == .listing && ask.isFirst ? listed?[index] ?? models[index] : models[index]
                    if case .object(let identity, _) = ask.about, knowledge == .listing, ask.isFirst, source.canList {
                        // Segments end where they do; where a tail ends only it says, and it may have gone.
                        let found = source.answer(ask)
                        planner.answer(identity.kind == .segment || found == .nothing ? found : models[index].answer(ask))
                    } else {
                        planner.answer(models[index].answer(ask))
                    }
                }
            }
        } catch {
            return .failed(error)
        }
    }

    private func check(_ model: ModelArchive, from head: UInt64 = 0) {
        let (parts, outcome) = model.chain(from: head)
        let byListing = plan([model], .listing, from: head)
        let byNames = plan([model], .names, from: head)
        #expect(byListing == byNames, "\(model)")
        switch (byNames, outcome) {
        case (.plan(let links), .end(let end)):
            #expect(links.map { $0.range.lowerBound.rawValue..<$0.range.upperBound.rawValue } == parts.map(\.range), "\(model)")
            #expect(links.map(\.link.identity.kind) == parts.map(\.object.kind), "\(model)")
            #expect(links.map(\.link.identity.epoch.number) == parts.map(\.object.epoch), "\(model)")
            #expect(links.last?.range.upperBound ?? LSN(head) == LSN(end), "\(model)")
        case (.failed(let error), .broken(let position, let reason)):
            #expect(error.lsn == LSN(position), "\(model): \(error)")
            switch reason {
            case .givenUp(let end, _): #expect(error.code == .gap && error.hint?.contains("--from \(end)") == true, "\(model): \(error)")
            case .missing: #expect(error.code == .gap, "\(model): \(error)")
            case .pruned: #expect(error.code == .notFound, "\(model): \(error)")
            case .unproven: #expect(error.code == .endUnproven, "\(model): \(error)")
            }
        default: Issue.record("\(model): \(byNames), not \(outcome)")
        }
    }

    @Test(arguments: RestorePlanTests.lines.indices) func everySmallArchiveIsPlannedAsTheFormatSaysFromAListingAndNameByName(line: Int) {
        let epochs = Self.lines[line]
        let newest = UInt64(epochs.count)
        let all = Self.objects(epochs)
        let end = all.map(\.range.upperBound).max()!
        Self.subsets(all) { objects in
            for head in [nil, end, end + 50] as [UInt64?] {
                for canList in [true, false] {
                    var model = ModelArchive(epochs: epochs, objects: objects)
                    model.heads = head.map { [newest: $0] } ?? [:]
                    model.canList = canList
                    check(model)
                }
            }
        }
    }

    @Test func gapsAndFloorsAreMetWhereTheyAre() {
        for start in stride(from: 0 as UInt64, through: 300, by: 50) {
            for end in stride(from: start + 50, through: 350, by: 50) {
                Self.subsets(Self.objects(Self.lines[0])) { objects in
                    var model = ModelArchive(epochs: Self.lines[0], objects: objects)
                    model.gaps = [1: [start..<end]]
                    model.heads = [1: 240]
                    check(model)
                }
            }
        }
        for floor in [100, 150, 200] as [UInt64] {
            Self.subsets(Self.objects(Self.lines[0])) { objects in
                var model = ModelArchive(epochs: Self.lines[0], objects: objects)
                model.floor = floor
                model.heads = [1: 240]
                if floor == 150 {
                    model.objects.remove(Object(1, nil, 100..<200))
                    model.objects.insert(Object(1, nil, 150..<200))
                }
                check(model, from: floor)
            }
        }
    }

    @Test func aFloorInsideAnObjectIsWhereThePlanBegins() {
        for record in stride(from: 100 as UInt64, to: 200, by: 10) {
            Self.subsets(Self.objects(Self.lines[0])) { objects in
                var model = ModelArchive(epochs: Self.lines[0], objects: objects, floor: 100, record: record)
                model.heads = [1: 240]
                check(model, from: record)
            }
        }
    }

    /// Encryption was turned on at any place, and any of the objects are encrypted: those are found that have the names that they may have, and no others.
    @Test func objectsOfBothKindsAreFoundUnderTheNamesThatTheyMayHave() {
        let all = [Object(1, nil, 0..<100), Object(1, nil, 100..<200), Object(1, 0, 200..<220), Object(1, 0, 220..<240)]
        for from in [nil, 0, 50, 100, 200, 210, 220, 240] as [UInt64?] {
            Self.subsets(all) { objects in
                Self.subsets(all) { sealed in
                    for head in [nil, 240] as [UInt64?] {
                        check(ModelArchive(epochs: Self.lines[0], objects: objects, heads: head.map { [1: $0] } ?? [:], encryptedFrom: from, sealed: sealed))
                    }
                }
            }
        }
    }

    /// Between the listing and the questions, the segment came and its tails went.
    @Test func tailsThatBecameTheirSegmentSinceTheListingAreNoGap() {
        let before = ModelArchive(epochs: Self.lines[0], objects: Set(Self.objects(Self.lines[0])), heads: [1: 240])
        var after = before
        after.objects = after.objects.filter { $0.level == nil }.union([Object(1, nil, 200..<300)])
        guard case .plan(let links) = plan([after], .listing, listed: [before]) else {
            Issue.record("\(plan([after], .listing, listed: [before]))")
            return
        }
        #expect(links.map(\.range.upperBound.rawValue) == [100, 200, 300])
    }

    /// Where one archive lacks an object the other is asked, whatever was cut where, and only what both lack is a gap.
    @Test func whatOneArchiveLacksIsTakenFromTheOther() {
        let first = [Object(1, nil, 0..<100), Object(1, nil, 100..<200), Object(1, 0, 200..<220), Object(1, 0, 220..<240)]
        let second = [Object(1, nil, 0..<100), Object(1, nil, 100..<200), Object(1, 0, 200..<210), Object(1, 0, 210..<220), Object(1, 0, 220..<240)]
        Self.subsets(first) { ours in
            Self.subsets(second) { theirs in
                let models = [ours, theirs].enumerated().map { index, objects in
                    ModelArchive(epochs: [(0, 0)], objects: objects, heads: [1: 240], archive: UInt64(index + 1))
                }
                let planned = plan(models, .names)
                #expect(planned == plan(models, .listing))
                var position: UInt64 = 0
                while let next = (ours.union(theirs).filter { $0.range.lowerBound == position }.first {
                    ours.contains($0)
                } ?? theirs.first { $0.range.lowerBound == position }) { position = next.range.upperBound }
                switch planned {
                case .plan(let links):
                    #expect(position == 240 && links.last?.range.upperBound == LSN(240))
                    for (one, two) in zip(links, links.dropFirst()) { #expect(one.range.upperBound == two.range.lowerBound) }
                    for link in links {
                        let range = link.link.identity.start.rawValue..<link.link.objectEnd.rawValue
                        #expect([ours, theirs][link.archive].contains { $0.kind == link.link.identity.kind && $0.range == range })
                    }
                case .failed(let error): #expect(error.code == .gap && error.lsn == LSN(position) && position < 240, "\(ours), \(theirs): \(error)")
                }
            }
        }
    }

    /// A plan to an LSN ends with the first object behind it in which a later record begins.
    @Test func aPlanToAnLSNGoesNoFurtherThanItHasTo() {
        let model = ModelArchive(epochs: Self.lines[0], objects: Set(Self.objects(Self.lines[0])), heads: [1: 240])
        for lsn in 0..<240 as Range<UInt64> {
            // Records begin every 30 bytes: the one at 180 reaches into the next segment.
            let planned = plan([model], .listing, .through(LSN(lsn))) { link in
                let starts = stride(from: 0 as UInt64, to: 240, by: 30).filter { link.range.contains(LSN($0)) }
                let records = starts.first.map { ObjectMetadata.Records(first: LSN($0), last: LSN(starts.last!), count: UInt64(starts.count)) }
                return RestorePlan.Facts(records: records, objectSize: 0, keyID: nil, times: [])
            }
            let next = (lsn / 30 + 1) * 30
            let expected: UInt64 = next < 100 ? 100 : next < 200 ? 200 : next < 220 ? 220 : 240
            guard case .plan(let links) = planned else { Issue.record("\(planned)"); continue }
            #expect(links.last?.range.upperBound == LSN(expected), "through \(lsn)")
        }
    }

    /// Of the part of an object that a newer epoch has taken over, records do not count: where the record that is wanted ends, the newer epoch's object says.
    @Test func aRecordThatAnotherEpochTookOverEndsNoPlan() {
        let line: [(fork: UInt64, start: UInt64?)] = [(0, 0), (120, 110)]
        let model = ModelArchive(epochs: line, objects: [Object(1, nil, 0..<100), Object(1, nil, 100..<200), Object(2, nil, 110..<200)], heads: [2: 200])
        // A record from 100 to 130 begins in both of the parent's parts; in the parent's object another one follows, past what is used of it.
        let planned = plan([model], .listing, .through(LSN(100))) { link in
            let records = link.link.identity.epoch.number == 1 ? ObjectMetadata.Records(first: LSN(100), last: LSN(150), count: 2) : nil
            return RestorePlan.Facts(records: link.range.lowerBound == .zero ? nil : records, objectSize: 0, keyID: nil, times: [])
        }
        #expect(planned.ranges == [0..<100, 100..<110, 110..<200])
    }

    // MARK: Several archives

    /// Two archives of two epochs, the first of which was not told of the second epoch: each of their objects may be missing. Nothing past the fork comes from the first, each
    /// position is had from the first archive that has it, and only what neither has is a gap.
    @Test func anArchiveOfASupersededWriterServesUpToTheForkAndNoFurther() {
        let old = [Object(1, nil, 0..<100), Object(1, 0, 100..<130), Object(1, 0, 130..<190), Object(1, nil, 100..<200)]
        let new = [Object(1, nil, 0..<100), Object(1, 0, 100..<150), Object(2, nil, 150..<200), Object(2, 0, 200..<220)]
        Self.subsets(old) { ours in
            Self.subsets(new) { theirs in
                let models = [
                    ModelArchive(epochs: [(0, 0)], objects: ours, heads: [1: 190], archive: 1),
                    ModelArchive(epochs: [(0, 0), (150, 150)], objects: theirs, heads: [2: 220], archive: 2),
                ]
                let planned = plan(models, .names, limits: [150, nil])
                #expect(planned == plan(models, .listing, limits: [150, nil]))
                func next(_ position: UInt64) -> UInt64? {
                    if position < 150, let found = models[0].end(ofWhatHolds: position) { return min(found, 150) }
                    return models[1].end(ofWhatHolds: position)
                }
                var position: UInt64 = 0
                while let end = next(position) { position = end }
                switch planned {
                case .plan(let links):
                    #expect(position == 220 && links.last?.range.upperBound == LSN(220), "\(ours), \(theirs)")
                    for (one, two) in zip(links, links.dropFirst()) { #expect(one.range.upperBound == two.range.lowerBound) }
                    #expect(links.allSatisfy { $0.archive == 1 || $0.range.upperBound <= LSN(150) && $0.link.identity.epoch.number == 1 })
                    #expect(links.allSatisfy { link in link.range.upperBound <= LSN(150) || link.link.identity.epoch.number == 2 })
                case .failed(let error):
                    #expect(error.code == .gap && error.lsn == LSN(position) && position < 220, "\(ours), \(theirs): \(error), not at \(position)")
                }
            }
        }
    }

    /// A copy that was made last night, named first: it is asked for what it has, once where it ends, and once at the very end.
    @Test func anArchiveThatHasEndedIsNotAskedForAllThatCameSince() {
        let objects = (0..<60).map { Object(1, nil, $0 * 100..<$0 * 100 + 100) as Object }
        let models = [
            ModelArchive(epochs: [(0, 0)], objects: Set(objects[..<10]), heads: [1: 1000], archive: 1),
            ModelArchive(epochs: [(0, 0)], objects: Set(objects), heads: [1: 6000], archive: 2),
        ]
        let watch = Watch()
        guard case .plan(let links) = plan(models, .names, watch: watch) else { Issue.record("no plan"); return }
        #expect(links.count == 60 && links.last?.range.upperBound == LSN(6000) && watch.problems.isEmpty)
        #expect(watch.asked[0] ?? 0 <= 10 + 2 * 14, "\(watch.asked)")
        // What only the one has that had ended is had from it, though.
        var torn = models
        torn[1].objects.remove(objects[40])
        torn[0].objects.insert(objects[40])
        guard case .plan(let mended) = plan(torn, .listing, watch: watch) else { Issue.record("no plan"); return }
        #expect(mended.count == 60 && mended[40].archive == 0 && mended[41].archive == 1)
        #expect(watch.problems.map(\.archive) == [1])
    }

    /// It may hold more than the one that ends: said, not passed over.
    @Test func anArchiveThatCannotBeReachedIsNamedAlsoWhereTheOtherEnds() {
        let model = ModelArchive(epochs: Self.lines[0], objects: [Object(1, nil, 0..<100)], heads: [1: 100])
        for order in [[0, 1], [1, 0]] {
            let watch = Watch()
            #expect(plan([model, model], .names, away: [order[0]], watch: watch).ranges == [0..<100])
            #expect(watch.problems.map(\.archive) == [order[0]] && watch.problems.first?.error.code == .unreachable)
        }
        guard case .failed(let error) = plan([model, model], .names, away: [0, 1]) else { Issue.record("nobody was there"); return }
        #expect(error.code == .unreachable)
    }

    /// One that the newest epoch was not told of says nothing of where the log ends, whatever it ends with itself: without the other that is not known. Also where the
    /// other failed before, and was not asked again.
    @Test func theEndOfAnArchiveOfASupersededWriterIsNoEndWhereTheOtherCannotBeReached() {
        for end in [80, 100, 120] as [UInt64] {
            var old = ModelArchive(epochs: [(0, 0)], objects: [Object(1, 0, 0..<min(end, 100))], heads: [1: end], archive: 1)
            if end > 100 { old.objects.insert(Object(1, 0, 100..<end)) }
            let new = ModelArchive(
                epochs: [(0, 0), (100, 100)], objects: [Object(1, nil, 0..<100), Object(2, nil, 100..<200)], heads: [2: 200], archive: 2)
            for (models, limits, away) in [([old, new], [100, nil], 1), ([new, old], [nil, 100], 0)] as [([ModelArchive], [UInt64?], Int)] {
                guard case .failed(let error) = plan(models, .names, limits: limits, away: [away]) else {
                    Issue.record("a plan that ends short: \(end), \(away)")
                    continue
                }
                #expect(error.code == .unreachable, "\(error)")
                // The other way round nothing is lost with it.
                #expect(plan(models, .names, limits: limits, away: [1 - away]).ranges == [0..<100, 100..<200])
            }
        }
    }

    /// Behind a gap an object begins inside its segment. Another archive that helps over the gap, and ends past that place, does not hide it.
    @Test func anObjectBehindAGapIsFoundWhereverTheOtherArchiveEnds() {
        for end in stride(from: 110 as UInt64, through: 190, by: 5) {
            let first = ModelArchive(
                epochs: [(0, 0)], objects: [Object(1, nil, 0..<100), Object(1, nil, 150..<200), Object(1, 0, 200..<220)], gaps: [1: [100..<150]], heads: [1: 220])
            let second = ModelArchive(epochs: [(0, 0)], objects: [Object(1, nil, 0..<100), Object(1, 0, 100..<end)], heads: [1: end], archive: 2)
            let planned = plan([first, second], .names)
            #expect(planned == plan([first, second], .listing))
            if end < 150 {
                guard case .failed(let error) = planned else { Issue.record("over a gap to \(end)"); continue }
                #expect(error.code == .gap && error.lsn == LSN(end))
            } else {
                #expect(planned.ranges == (end == 150 ? [0..<100, 100..<150, 150..<200, 200..<220] : [0..<100, 100..<end, end..<200, 200..<220]), "to \(end)")
            }
        }
    }

    /// From a gap's end on, whatever is known of what lies before it in the segment.
    @Test func aPlanBeginsWhereAGapEndsWithOrWithoutAHeadAndAListing() {
        for end in [100, 130, 200, 210] as [UInt64] {
            for canList in [true, false] {
                for head in [nil, 230] as [UInt64?] {
                    var model = ModelArchive(epochs: [(0, 0)], objects: [Object(1, nil, 0..<100)], gaps: [1: [100..<end]], heads: head.map { [1: $0] } ?? [:])
                    if end < 200 { model.objects.insert(Object(1, nil, end..<200)) }
                    model.objects.insert(Object(1, 0, max(end, 200)..<230))
                    model.canList = canList
                    let planned = plan([model], .names, from: end, after: end)
                    #expect(planned == plan([model], .listing, from: end, after: end))
                    if head == nil, !canList {
                        guard case .failed(let error) = planned else { Issue.record("an end that nobody proves"); continue }
                        #expect(error.code == .endUnproven && error.lsn == LSN(230), "from \(end): \(error)")
                    } else {
                        #expect(planned.ranges == (end < 200 ? [end..<200, 200..<230] : [end..<230]), "from \(end): \(planned)")
                    }
                }
            }
        }
    }

    /// One ends, and the other begins later: nobody has what lies between.
    @Test func aHoleBetweenTwoArchivesIsAGap() {
        let first = ModelArchive(epochs: [(0, 0)], objects: [Object(1, nil, 0..<100)], heads: [1: 100])
        let second = ModelArchive(epochs: [(0, 0)], objects: [Object(1, nil, 200..<300)], heads: [1: 300], floor: 200, archive: 2)
        for models in [[first, second], [second, first]] {
            guard case .failed(let error) = plan(models, .names) else { Issue.record("a plan with a hole"); continue }
            #expect(error.code == .gap && error.lsn == LSN(100) && error.hint?.contains("--from 200") == true, "\(error)")
        }
    }
}
