//! Auth, before there is any: what a client is told that asks for it.
//!
//! Promises: nothing here pretends to protect. Status says "disabled", and every change is refused with a text that says
//! that it is not served, so that nobody believes a store to be locked that is open.

use fairlead_proto::served::etcdserverpb as pb;
use pb::auth_server::Auth;
use tonic::{Request, Response, Status};

use super::Context;
use super::status::AUTH_NOT_ENABLED;

/// The auth store's revision in a store in which auth was never changed.
const FIRST_REVISION: u64 = 1;

/// The service.
#[derive(Clone)]
pub struct AuthService {
    ctx: Context,
}

impl AuthService {
    /// On `ctx`.
    #[must_use]
    pub fn new(ctx: Context) -> AuthService {
        AuthService { ctx }
    }
}

macro_rules! unserved {
    ($($method:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl Auth for AuthService {
            async fn auth_status(
                &self,
                _: Request<pb::AuthStatusRequest>,
            ) -> Result<Response<pb::AuthStatusResponse>, Status> {
                let header = Some(self.ctx.header(self.ctx.mvcc.revision()));
                Ok(Response::new(pb::AuthStatusResponse { header, enabled: false, auth_revision: FIRST_REVISION }))
            }

            async fn authenticate(
                &self,
                _: Request<pb::AuthenticateRequest>,
            ) -> Result<Response<pb::AuthenticateResponse>, Status> {
                Err(AUTH_NOT_ENABLED.into())
            }

            $(
                async fn $method(&self, _: Request<pb::$request>) -> Result<Response<pb::$response>, Status> {
                    Err(Status::unimplemented("fairlead: users and roles are not served yet: the store is open to every client"))
                }
            )*
        }
    };
}

unserved! {
    auth_enable(AuthEnableRequest) -> AuthEnableResponse;
    auth_disable(AuthDisableRequest) -> AuthDisableResponse;
    user_add(AuthUserAddRequest) -> AuthUserAddResponse;
    user_get(AuthUserGetRequest) -> AuthUserGetResponse;
    user_list(AuthUserListRequest) -> AuthUserListResponse;
    user_delete(AuthUserDeleteRequest) -> AuthUserDeleteResponse;
    user_change_password(AuthUserChangePasswordRequest) -> AuthUserChangePasswordResponse;
    user_grant_role(AuthUserGrantRoleRequest) -> AuthUserGrantRoleResponse;
    user_revoke_role(AuthUserRevokeRoleRequest) -> AuthUserRevokeRoleResponse;
    role_add(AuthRoleAddRequest) -> AuthRoleAddResponse;
    role_get(AuthRoleGetRequest) -> AuthRoleGetResponse;
    role_list(AuthRoleListRequest) -> AuthRoleListResponse;
    role_delete(AuthRoleDeleteRequest) -> AuthRoleDeleteResponse;
    role_grant_permission(AuthRoleGrantPermissionRequest) -> AuthRoleGrantPermissionResponse;
    role_revoke_permission(AuthRoleRevokePermissionRequest) -> AuthRoleRevokePermissionResponse;
}
