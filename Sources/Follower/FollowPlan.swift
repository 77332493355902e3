import Archive

/// What a follower does next, as a value without I/O or a clock of its own: seconds come from the caller.
///
/// As long as something is found, it reads on at once. Where nothing is, it looks once each interval, with one request, for what most likely comes next: a tail of
/// level 0 at the position, or the segment that holds it. All else (gaps, pruning, names, another epoch, how far the primary is) is asked for seldom. After
/// a minute without anything new the looks become rarer, down to a tenth.
struct FollowPlan: Hashable, Sendable {
    enum Step: Hashable, Sendable {
        /// Open the archive anew: whose it is, which line of epochs.
        case open
        /// One look for an object of this kind at the position.
        case look(ObjectMetadata.Kind)
        /// The whole reading rule at the position.
        case readOn
        /// Whether the line goes on in another epoch, and how far the head document says that the archive reaches.
        case survey
        case wait(Double)
    }

    /// Looks in a row at both kinds of objects, before one is enough.
    static let activeRounds = 3
    /// Seconds without anything new before looks become rarer, and how much rarer and how rare at most they become.
    static let patientAfter = 60.0
    static let patienceFactor = 10.0
    static let patientIntervalMax = 10.0
    /// Seconds between surveys while things come, and while nothing does.
    static let surveyInterval = (busy: 5.0, idle: 30.0)
    /// Seconds from the first whole reading at a position to the second, doubled each time up to the latter.
    static let readingInterval = (first: 15.0, max: 120.0)

    private let interval: Double
    private var isOpen = false
    /// The next object to be read begins below what is there already: only the whole rule leads from object to object.
    private var isBehind = true
    private var mustReadOn = false
    private var preferred = ObjectMetadata.Kind.tail(level: 0)
    /// Rounds of looks since something was found, and looks in this one.
    private var round = 0
    private var looked = 0
    private var delay: Double?
    /// Or since it was opened first.
    private var lastFound: Double?
    private var nextSurvey = 0.0
    private var nextReading = 0.0
    private var readingDelay = FollowPlan.readingInterval.first

    /// `interval` in seconds.
    init(interval: Double) { self.interval = interval }

    mutating func next(now: Double) -> Step {
        if let delay {
            self.delay = nil
            return .wait(delay)
        }
        guard isOpen else { return .open }
        if now >= nextSurvey {
            let isBusy = now < (lastFound ?? now) + FollowPlan.patientAfter
            nextSurvey = now + (isBusy ? FollowPlan.surveyInterval.busy : FollowPlan.surveyInterval.idle)
            return .survey
        }
        if isBehind || mustReadOn || (round > 0 && now >= nextReading) { return .readOn }
        return .look(looksAtPreferred ? preferred : other)
    }

    /// Both in one round at first; then by turns.
    private var looksAtPreferred: Bool { round < FollowPlan.activeRounds ? looked == 0 : round.isMultiple(of: 2) }
    private var other: ObjectMetadata.Kind { preferred == .segment ? .tail(level: 0) : .segment }

    /// The archive was opened, and is to be read from where `isBehind` says.
    mutating func opened(isBehind: Bool, now: Double) {
        isOpen = true
        lastFound = lastFound ?? now
        self.isBehind = isBehind
        mustReadOn = false
        nextReading = now
        round = 0
        looked = 0
    }

    /// Something else is to be read than the line that was opened.
    mutating func reopen() { isOpen = false }

    mutating func found(_ kind: ObjectMetadata.Kind, isBehind: Bool, now: Double) {
        preferred = kind == .segment ? .segment : .tail(level: 0)
        self.isBehind = isBehind
        mustReadOn = false
        round = 0
        looked = 0
        lastFound = now
        nextReading = now
        readingDelay = FollowPlan.readingInterval.first
    }

    /// A look found nothing.
    mutating func missed(now: Double) {
        looked += 1
        if round < FollowPlan.activeRounds && looked < 2 { return }
        endRound(now)
    }

    /// The whole rule says that the archive ends here.
    mutating func ended(now: Double) {
        mustReadOn = false
        nextReading = now + readingDelay
        readingDelay = min(readingDelay * 2, FollowPlan.readingInterval.max)
        endRound(now)
    }

    private mutating func endRound(_ now: Double) {
        looked = 0
        round += 1
        delay = interval
        let idle = now - (lastFound ?? now)
        guard idle > FollowPlan.patientAfter else { return }
        let longest = max(interval, min(interval * FollowPlan.patienceFactor, FollowPlan.patientIntervalMax))
        delay = min(longest, interval * idle / FollowPlan.patientAfter)
    }

    /// `goesOn`: the head document says that there is more.
    mutating func surveyed(goesOn: Bool) { if goesOn { mustReadOn = true } }

    /// Not before so many seconds.
    mutating func postpone(_ seconds: Double) { delay = seconds }
}
