"""What the gate's checks of plausibility cannot see, and what that is worth at most: a chapter of docs/faults.md."""

WHY_FAULTS_PASS = """\
## Why some faults may pass

A check that lets go of a healthy robot is worse than none: its limits lie outside of everything that a healthy Go1
was seen to measure, on the twin and in 40 minutes of a real one's logs (`plausibility` in go1.yaml has the sources).
A false reading within them cannot be told from noise, from a velocity that comes 8 ms late as the real ones do, or
from a blow to a foot. So what passes is bounded, whatever its cause:

- **Positions.** No tick is wrong by more than 0.05 rad of a sudden, and over 0.2 s position and velocity differ by
  less than 0.12 rad + 12 ms x the fastest velocity. A delay of 50 ms exceeds what a healthy joint may differ by from
  speeds of 3 rad/s on, if they last: hips never reach them, thighs only in their swing. The next leg's joint instead
  of one's own shows where the two are more than 0.05 rad apart at the onset. `slow` and `stuck` show once the
  velocity says that the joint has gone 0.02 rad while its position stood still to the bit.
- **Velocities.** What motor and ground together can do in a tick (22 rad/s, a calf 15 rad/s) is believed, so it is the
  sum that tells: a false sign or the next leg's velocity shows when it is wrong by more than 0.12 rad within 0.2 s.
  A hip that swings by 0.05 rad to either side never gets there. A wire that opens shows at once if the joint moves at
  0.5 rad/s or more, and changes next to nothing if it does not.
- **Orientation.** Gyroscope and quaternion differ by less than 0.1 rad over 0.2 s: a delay of 50 ms passes while the
  trunk turns by less than 2 rad/s, as in a sound walk, and means at most that angle. A trunk that falls turns faster.
- **Tilt.** The judge looks at the twin's true attitude, the gate at the IMU's, which is off by up to 0.04 rad. A trunk
  that swings up to the limit of 1 rad and back (`pilot/saturated`: 1.00 true, 0.96 measured, for 2 ms) is damped when a
  later swing goes further.
- **To the bit.** No log shows what a real joint's last bits do at complete rest, so a reading that repeats itself is
  believed until something says that the joint moves: a sensor may die unnoticed for as long as nothing moves.

The table above says what came of those that passed.
"""
