"""The vendor's SDK as the twin's client, on a real socket: what it reads, what it moves, and what trips its protection.

The three motions are the kinds that the vendor's Python examples show (a swept position, a held velocity, a torque
computed by the client), performed as there: the robot hangs, and one leg moves.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from typing import Any, Callable, Iterator, List

import mujoco
import numpy as np
import pytest

from deploy.onboard.packet_layout import LEVEL_LOW, TORQUE_QUANTUM
from deploy.onboard.remote import Key
from deploy.onboard.wire import MOTOR_MODE_DAMPING, MOTOR_MODE_SERVO, POSITION_STOP, VELOCITY_STOP
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition
from sim.twin.body import TwinBody
from sim.twin.server import TwinServer

sdk = pytest.importorskip(
    "unitree_legged_sdk.robot_interface", reason="needs the vendor's SDK: pip install '.[go1sdk]'", exc_type=ImportError
)
ANSWER_TIMEOUT_S = 10.0  # a busy machine may be slow to schedule the server's thread
CRANE_MASS_KG = 1000.0  # so heavy that a leg's swing does not move the trunk
FR_HIP, FR_THIGH, FR_CALF = 0, 1, 2

# PowerProtect(command, state, level) of unitree-legged-sdk 3.8.20231105, measured with synthetic states: the power is
# |sum over the 12 motors of |tauEst dq||, the limit 100 W times the level; a call above it counts one up (to 10), one
# below counts one down; beyond 5 it returns -1 and puts every motor of the command into damping.
POWER_W_PER_LEVEL = 100.0
CALLS_ABOVE_TOLERATED = 5
POSITION_PROTECT_MARGIN_RAD = 0.087  # the vendor's default


class VendorClient:
    """The SDK in lockstep with a twin: one command, one state."""

    def __init__(self, server: TwinServer) -> None:
        self.body, self.server = server.body, server
        self._udp = sdk.UDP(LEVEL_LOW, 0, *server.address)
        self.command, self.state = sdk.LowCmd(), sdk.LowState()
        self._udp.InitCmdData(self.command)

    def send(self) -> None:
        self._udp.SetSend(self.command)
        self._udp.Send()

    def tick(self) -> Any:
        """Send the command; the state the twin answers with, 2 ms later on its clock."""
        self.send()
        deadline_s = time.monotonic() + ANSWER_TIMEOUT_S
        while self._udp.Recv() != 0:
            assert time.monotonic() < deadline_s, "the twin did not answer the SDK"
            time.sleep(1e-4)
        self._udp.GetRecv(self.state)
        return self.state

    def servo(self, joint: int, **terms: float) -> None:
        """Set one motor's terms by the SDK's names; what is not named is left out of its law."""
        motor = self.command.motorCmd[joint]
        motor.mode = MOTOR_MODE_SERVO
        motor.q, motor.dq = terms.get("q", POSITION_STOP), terms.get("dq", VELOCITY_STOP)
        motor.Kp, motor.Kd, motor.tau = terms.get("Kp", 0.0), terms.get("Kd", 0.0), terms.get("tau", 0.0)

    def hold_all(self, position: np.ndarray, stiffness: float, damping: float) -> None:
        """Every motor at its position (12,)."""
        for joint, target in enumerate(position.tolist()):
            self.servo(joint, q=target, dq=0.0, Kp=stiffness, Kd=damping)


@contextlib.contextmanager
def serving(body: TwinBody) -> Iterator[VendorClient]:
    with TwinServer(body, "127.0.0.1", 0, lockstep=True) as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield VendorClient(server)
        finally:
            server.stop()
            thread.join()
        assert server.refused == {}, "the twin refused what the SDK sent"


@pytest.fixture
def hanging(quiet: TwinCondition, put_in_air: Callable[[TwinBody], None]) -> Iterator[VendorClient]:
    """A twin on a crane: the trunk stays where it is, the legs hang and feel their weight."""
    body = TwinBody(quiet, seed=0)
    put_in_air(body)
    trunk = body.model.body("trunk").id
    legs_kg = body.model.body_subtreemass[trunk] - body.model.body_mass[trunk]
    body.model.body_inertia[trunk] *= CRANE_MASS_KG / body.model.body_mass[trunk]
    body.model.body_mass[trunk] = CRANE_MASS_KG
    mujoco.mj_setConst(body.model, mujoco.MjData(body.model))
    body.data.xfrc_applied[trunk, 2] = -(CRANE_MASS_KG + legs_kg) * body.model.opt.gravity[2]
    with serving(body) as client:
        client.hold_all(body.robot.stand_position, 60.0, 2.0)
        for _ in range(150):
            client.tick()
        yield client


def gravity_and_coriolis_nm(body: TwinBody) -> np.ndarray:
    """Torque (12,) that the motors need to hold the joints as they are, friction aside."""
    return np.array(body.data.qfrc_bias[6:18])


def joint_friction_nm(body: TwinBody) -> float:
    return body.condition.motors.joint_friction_nm


def test_every_signal_of_the_twin_reaches_the_sdk(quiet: TwinCondition, robot: RobotModel) -> None:
    with serving(TwinBody(quiet, seed=0)) as client:
        client.server.body.press({Key.L1, Key.UP}, lx=0.5, ly=-0.25, rx=0.125, ry=1.0)
        client.hold_all(robot.sit_position + 0.2, 40.0, 1.0)
        client.command.motorCmd[11].mode = MOTOR_MODE_DAMPING
        for _ in range(60):  # slow signals are renewed every 50 ticks
            state = client.tick()
        body, truth = client.body, client.body.truth
        assert (state.tick, state.head, state.levelFlag) == (120, [0xFE, 0xEF], LEVEL_LOW)
        np.testing.assert_allclose(state.imu.quaternion, truth.orientation_trunk_in_world, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(state.imu.gyroscope, truth.angular_velocity_trunk_in_trunk, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(
            state.imu.accelerometer, body.data.sensor("accelerometer").data, rtol=1e-6, atol=1e-6
        )
        w, x, y, z = truth.orientation_trunk_in_world
        assert state.imu.rpy[0] == pytest.approx(math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)), abs=1e-6)
        assert state.imu.rpy[1] == pytest.approx(math.asin(2 * (w * y - z * x)), abs=1e-6)
        assert state.imu.rpy[2] == pytest.approx(math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)), abs=1e-6)
        motors = state.motorState
        np.testing.assert_allclose([motor.q for motor in motors[:12]], truth.joint_position, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose([motor.dq for motor in motors[:12]], truth.joint_velocity, rtol=1e-6, atol=1e-6)
        # A healthy motor's estimate is what it delivers; the wire cuts it to whole counts.
        np.testing.assert_allclose([motor.tauEst for motor in motors[:12]], truth.joint_torque, atol=TORQUE_QUANTUM)
        assert [motor.mode for motor in motors[:12]] == [MOTOR_MODE_SERVO] * 11 + [MOTOR_MODE_DAMPING]
        ambient_c = round(quiet.power.ambient_temperature_c)
        assert {motor.temperature for motor in motors[:12]} == {ambient_c}
        assert state.imu.temperature > ambient_c
        assert state.bms.SOC == quiet.power.start_soc_percent
        assert state.bms.current < 0  # it discharges
        empty_mv, full_mv = 1000 * quiet.power.cell_voltage_empty_v, 1000 * quiet.power.cell_voltage_full_v
        assert all(empty_mv < cell <= full_mv for cell in state.bms.cell_vol)
        counts = body.data.sensordata[[int(body.model.sensor(f"{n}_touch").adr[0]) for n in robot.foot_names]]
        np.testing.assert_allclose(state.footForce, counts * quiet.foot_force.counts_per_newton, atol=1.0)
        # The remote: head, keys (L1 is bit 1, up bit 12), lx at 4, rx at 8, ry at 12, ly at 20.
        remote = bytes(state.wirelessRemote)
        assert int.from_bytes(remote[2:4], "little") == 1 << 1 | 1 << 12
        sticks = np.frombuffer(remote, dtype="<f4", count=5, offset=4)
        assert sticks.tolist() == [0.5, 0.125, 1.0, 0.0, -0.25]


def test_every_motor_follows_its_own_slot(hanging: VendorClient) -> None:
    for joint, name in enumerate(hanging.body.robot.joint_names):
        before = hanging.body.truth.joint_position
        step = 0.15 if joint % 3 != FR_CALF else -0.15
        hanging.servo(joint, q=float(before[joint]) + step, dq=0.0, Kp=60.0, Kd=2.0)
        for _ in range(80):
            state = hanging.tick()
        moved = np.array([motor.q for motor in state.motorState[:12]]) - before
        assert moved[joint] == pytest.approx(step, abs=0.05), name
        assert np.abs(np.delete(moved, joint)).max() < 0.05, name


def test_a_swept_position_is_followed(hanging: VendorClient) -> None:
    """Thigh and calf of one leg on sines about their middle, the hip held: Kp 5, Kd 1, as softly as the example's."""
    body, period_ticks, amplitude = hanging.body, 250, (0.0, 0.4, -0.3)
    middle = body.truth.joint_position[:3].copy()
    errors: List[np.ndarray] = []
    for tick in range(2 * period_ticks):
        phase = 2.0 * math.pi * tick / period_ticks
        bias = gravity_and_coriolis_nm(body)
        for joint in (FR_HIP, FR_THIGH, FR_CALF):
            target = middle[joint] + amplitude[joint] * math.sin(phase)
            speed = amplitude[joint] * math.cos(phase) * 2.0 * math.pi / period_ticks * body.robot.link_hz
            hanging.servo(joint, q=target, dq=speed, Kp=5.0, Kd=1.0, tau=float(bias[joint]))
        state = hanging.tick()
        if tick >= period_ticks:  # the first period brings it into the swing
            wanted = middle + np.array(amplitude) * math.sin(phase)
            errors.append(np.array([state.motorState[joint].q for joint in range(3)]) - wanted)
    # With weight fed forward, friction is what the spring has to overcome: at most friction / Kp, plus inertia.
    assert np.abs(errors).max() < joint_friction_nm(body) / 5.0 + 0.05


def test_a_velocity_is_held_without_a_position_term(hanging: VendorClient) -> None:
    """The calf at a constant speed by Kd alone, forth and back: Kp 0 and q left at PosStopF."""
    body, damping = hanging.body, 4.0
    for wanted_rad_s in (1.0, -1.0):
        for _ in range(120):
            hanging.servo(FR_CALF, dq=wanted_rad_s, Kd=damping)
            state = hanging.tick()
        # Friction, 0.05 Nm of bearing damping, and the calf's weight (0.2 kg at 0.1 m) with what the leg above yields.
        missing_nm = joint_friction_nm(body) + 0.05 + 0.4
        assert state.motorState[FR_CALF].dq == pytest.approx(wanted_rad_s, abs=missing_nm / damping)
        delivered_nm = damping * (wanted_rad_s - body.truth.joint_velocity[FR_CALF])
        assert state.motorState[FR_CALF].tauEst == pytest.approx(delivered_nm, abs=0.1)


def test_a_torque_computed_by_the_client_moves_the_joint_to_its_goal(hanging: VendorClient) -> None:
    """A PD law in the client, at most 5 Nm, no goals for the motor: the state's q and dq close the loop."""
    body = hanging.body
    goal = float(body.truth.joint_position[FR_THIGH]) + 0.5
    torques: List[float] = []
    for _ in range(500):
        motor = hanging.state.motorState[FR_THIGH]
        torques.append(min(5.0, max(-5.0, 10.0 * (goal - motor.q) - 1.0 * motor.dq)))
        hanging.servo(FR_THIGH, tau=torques[-1], Kp=5.0, Kd=4.0)  # gains without q and dq must do nothing
        state = hanging.tick()
        # Feed-forward torque comes back as the motor's estimate, cut to whole counts on the way there and back.
        assert state.motorState[FR_THIGH].tauEst == pytest.approx(torques[-1], abs=2 * TORQUE_QUANTUM)
    assert max(torques) > 4.5  # the limit of 5 Nm was near: the goal is half a radian away
    held_nm = abs(gravity_and_coriolis_nm(body)[FR_THIGH]) + joint_friction_nm(body)
    assert abs(body.truth.joint_position[FR_THIGH] - goal) <= held_nm / 10.0 + 0.01


def test_the_sdk_cannot_switch_the_twins_battery_off(quiet: TwinCondition) -> None:
    with TwinServer(TwinBody(quiet, seed=0), "127.0.0.1", 0, lockstep=True) as server:
        client = VendorClient(server)
        for battery_off in (0xA5, 0):  # the second one makes the twin step, so that serving it ends
            client.command.bms.off = battery_off
            client.send()
        server.serve(duration_s=0.002)
        assert server.refused == {"BatteryOffError": 1}


def test_power_protect_trips_when_the_twins_power_does(hanging: VendorClient) -> None:
    """All legs swung to and fro ever harder; our own count of the twin's true power says at which call it must trip."""
    body, level, above = hanging.body, 1, 0
    safety, middle = sdk.Safety(sdk.LeggedType.Go1), body.robot.stand_position
    expected_call = tripped_call = None
    for call in range(400):
        hanging.hold_all(middle + 0.6 * (call / 400) * math.sin(2.0 * math.pi * call / 80), 60.0, 1.0)
        state = hanging.tick()
        power_w = float(np.abs(body.truth.joint_torque * body.truth.joint_velocity).sum())
        above = min(above + 1, 10) if power_w > POWER_W_PER_LEVEL * level else max(above - 1, 0)
        if expected_call is None and above > CALLS_ABOVE_TOLERATED:
            expected_call = call
        if safety.PowerProtect(hanging.command, state, level) < 0:
            tripped_call = call
            break
    # The estimate on the wire is cut to 1/256 Nm, so a power that just touches the limit may count one call later.
    assert expected_call is not None and tripped_call is not None
    assert 0 <= tripped_call - expected_call <= 1
    # The very command that tripped it now says damping; sent on, it stops the twin.
    assert {motor.mode for motor in hanging.command.motorCmd[:12]} == {MOTOR_MODE_DAMPING}
    for _ in range(300):
        state = hanging.tick()
    assert {motor.mode for motor in state.motorState[:12]} == {MOTOR_MODE_DAMPING}
    assert np.abs([motor.dq for motor in state.motorState[:12]]).max() < 1.5  # only as fast as a braked leg sinks


def test_power_protect_lets_a_gentle_motion_pass(hanging: VendorClient) -> None:
    safety, middle = sdk.Safety(sdk.LeggedType.Go1), hanging.body.robot.stand_position
    for tick in range(200):
        hanging.hold_all(middle + 0.1 * math.sin(2.0 * math.pi * tick / 200), 60.0, 1.0)
        assert safety.PowerProtect(hanging.command, hanging.tick(), 1) == 1


def test_position_protect_trips_on_a_folded_twin_and_not_on_a_hanging_one(
    hanging: VendorClient, quiet: TwinCondition, robot: RobotModel
) -> None:
    safety = sdk.Safety(sdk.LeggedType.Go1)
    assert safety.PositionProtect(hanging.command, hanging.tick(), POSITION_PROTECT_MARGIN_RAD) >= 0
    with serving(TwinBody(quiet, seed=0)) as folded:
        folded.hold_all(robot.sit_position, 0.0, 1.0)
        assert safety.PositionProtect(folded.command, folded.tick(), POSITION_PROTECT_MARGIN_RAD) < 0
