import Archive
import Testing
import TestSupport
import WAL

@testable import Follower

@Suite struct TimeSearchTests {
    typealias Time = ObjectMetadata.CommitTime

    /// Runs a search over what each object says; the result, and how many were asked.
    private func search(_ time: UInt64, _ objects: [[Time]], last: Time? = nil) -> (TimeSearch.Result, Int) {
        var search = TimeSearch(time: time, count: objects.count, last: last)
        var asked: Set<Int> = []
        while let index = search.next() {
            #expect(asked.insert(index).inserted, "object \(index) was asked twice")
            search.know(index, objects[index])
        }
        return (search.result, asked.count)
    }

    /// With everything at hand.
    private func expected(_ time: UInt64, _ objects: [[Time]]) -> TimeSearch.Result {
        let all = objects.flatMap { $0 }
        guard let first = all.first, let last = all.last else { return .tooEarly(first: nil) }
        var found = zip(all, all.dropFirst()).filter { $0.time <= time && $1.time > time }.map(\.0)
        if last.time == time { found.append(last) }
        switch found.count {
        case 0: return last.time < time ? .tooLate(last: last) : .tooEarly(first: first)
        case 1: return .found(found[0].lsn)
        default: return .ambiguous(found)
        }
    }

    @Test func everySmallHistoryIsSearchedRight() {
        // One to four objects of one time each, or none, in any order: clocks go wherever they like.
        for count in 1...4 {
            var digits = [Int](repeating: 0, count: count)
            while true {
                let objects: [[Time]] = digits.indices.map { (index: Int) -> [Time] in
                    digits[index] == 0 ? [] : [Time(time: UInt64(digits[index]) * 10, lsn: LSN(UInt64(index + 1) * 100))]
                }
                for time in stride(from: 5 as UInt64, through: 55, by: 5) {
                    #expect(search(time, objects).0 == expected(time, objects), "\(digits) at \(time)")
                }
                guard let place = digits.lastIndex(where: { $0 < 5 }) else { break }
                digits[place] += 1
                for later in digits.indices where later > place { digits[later] = 0 }
            }
        }
    }

    @Test func twoThousandSegmentsAreSearchedWithFewQuestions() {
        let second: UInt64 = 1_000_000_000
        let objects: [[Time]] = (0..<2000).map { (index: Int) -> [Time] in
            (0..<3).map { (part: Int) -> Time in
                let number = UInt64(index * 3 + part)
                return Time(time: number * second, lsn: LSN((number + 1) * 1000))
            }
        }
        for time in [0, 1, 777, 2999, 3000, 5998, 5999] as [UInt64] {
            for offset in [0, 1, 999_999_999] as [UInt64] where time < 5999 || offset == 0 {
                let (result, count) = search(time * 1_000_000_000 + offset, objects)
                #expect(result == .found(LSN((time + 1) * 1000)), "at \(time)")
                #expect(count <= 60, "at \(time): \(count)")
            }
        }
        #expect(search(6000 * 1_000_000_000, objects).0 == .tooLate(last: objects[1999][2]))
        #expect(search(6000 * 1_000_000_000, objects, last: Time(time: 6000 * 1_000_000_000, lsn: LSN(7_000_000))).0 == .found(LSN(7_000_000)))
    }

    /// A head that was written later, and knows of nothing more, says how the log was until then.
    @Test func upToTheLastWordOfAnIdleLogItsEndIsTheAnswer() {
        let objects = [[Time(time: 10, lsn: LSN(100))], [Time(time: 20, lsn: LSN(200))]]
        let word = Time(time: 50, lsn: LSN(200))
        for time in [20, 21, 49, 50] as [UInt64] { #expect(search(time, objects, last: word).0 == .found(LSN(200)), "at \(time)") }
        #expect(search(51, objects, last: word).0 == .tooLate(last: word))
        #expect(search(15, objects, last: word).0 == .found(LSN(100)))
        // One that is older than what the objects say adds nothing.
        for old in [Time(time: 15, lsn: LSN(200)), Time(time: 90, lsn: LSN(150))] {
            #expect(search(21, objects, last: old).0 == .tooLate(last: objects[1][0]))
        }
    }

    /// The clock was set back by an hour in the middle of a day.
    @Test func aStepOfTheClockIsNoticedAndEachMomentIsListed() {
        let objects: [[Time]] = (0..<1440).map { (minute: Int) -> [Time] in
            let time = UInt64(minute < 720 ? minute : minute - 60) * 60
            return [Time(time: time, lsn: LSN(UInt64(minute + 1) * 100))]
        }
        for minute in stride(from: 661 as UInt64, through: 718, by: 7) {
            #expect(search(minute * 60, objects).0 == .ambiguous([objects[Int(minute)][0], objects[Int(minute) + 60][0]]), "minute \(minute)")
        }
        for minute in [0, 100, 600, 659, 721, 1000, 1379] as [UInt64] {
            let index = minute < 660 ? Int(minute) : Int(minute) + 60
            #expect(search(minute * 60, objects).0 == .found(objects[index][0].lsn), "minute \(minute)")
        }
    }

    /// The clock was set back by any amount anywhere, in a log that grew at a steady pace.
    @Test func aStepOfTheClockIsNoticedWhereverItIsAndHoweverSmall() {
        var generator = SeededGenerator(seed: 11)
        for round in 0..<400 {
            let count = Int.random(in: 50...2000, using: &generator)
            let place = Int.random(in: 1..<count, using: &generator)
            let size = Int.random(in: 1...place, using: &generator)
            let objects: [[Time]] = (0..<count).map { (index: Int) -> [Time] in
                [Time(time: UInt64(10_000 + index - (index < place ? 0 : size)), lsn: LSN(UInt64(index + 1) * 100))]
            }
            let time = UInt64(10_000 + Int.random(in: max(0, place - size - 2)...min(count - 1, place + 2), using: &generator))
            let (result, asked) = search(time, objects)
            #expect(result == expected(time, objects), "seed 11, round \(round): \(count) objects, \(size) back at \(place), time \(time)")
            #expect(asked <= 2 * 11 + 2 * 11 + RestoreLimits.timeProbesMax, "\(asked)")
        }
    }

    @Test func objectsWithoutTimesAreSteppedOver() {
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<200 {
            var time: UInt64 = 0
            let objects: [[Time]] = (0..<100).map { (index: Int) -> [Time] in
                guard Int.random(in: 0..<4, using: &generator) == 0 else { return [] }
                time += UInt64.random(in: 1...9, using: &generator)
                return [Time(time: time, lsn: LSN(UInt64(index + 1) * 10))]
            }
            let wanted = UInt64.random(in: 0...time + 2, using: &generator)
            #expect(search(wanted, objects).0 == expected(wanted, objects), "seed 5, at \(wanted)")
        }
    }

    @Test func timesAreReadAndWrittenAsRFC3339Says() {
        #expect(RFC3339.parse("1970-01-01T00:00:00Z") == 0)
        #expect(RFC3339.parse("2026-11-23T14:05:07Z") == 1_795_442_707_000_000_000)
        #expect(RFC3339.parse("2026-11-23T15:05:07.25+01:00") == 1_795_442_707_250_000_000)
        #expect(RFC3339.parse("2024-02-29t23:59:60z") == RFC3339.parse("2024-03-01T00:00:00Z"))
        for text in [
            "", "2026", "2026-11-23", "2026-13-01T00:00:00Z", "2023-02-29T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T14:05:07", "2026-11-23T14:05:07.Z",
            "2026-11-23T14:05:07Zx", "1969-12-31T23:59:59Z", "9999-01-01T00:00:00Z", "2026-11-23T14:05:07+1:00",
        ] { #expect(RFC3339.parse(text) == nil, "\(text)") }
        var generator = SeededGenerator(seed: 9)
        for _ in 0..<1000 {
            let time = UInt64.random(in: 0...UInt64.max, using: &generator) / 1_000_000 * 1_000_000
            #expect(RFC3339.parse(RFC3339.text(time)) == time, "\(time)")
        }
    }
}
